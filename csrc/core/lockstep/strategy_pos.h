/* The strategy `pos`. See strategy.h. */
#ifndef BYN_STRATEGY_POS_H
#define BYN_STRATEGY_POS_H

#include "strategy_parts.h"

extern const byn_strategy_ops byn_strategy_pos;

#endif
