/* The strategies `pct` and `fair_pct`. See strategy.h. */
#ifndef BYN_STRATEGY_PCT_H
#define BYN_STRATEGY_PCT_H

#include "strategy_parts.h"

extern const byn_strategy_ops byn_strategy_pct;
extern const byn_strategy_ops byn_strategy_fair_pct;

#endif
