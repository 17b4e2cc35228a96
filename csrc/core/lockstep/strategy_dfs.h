/* The strategy `dfs`. See strategy.h. */
#ifndef BYN_STRATEGY_DFS_H
#define BYN_STRATEGY_DFS_H

#include "strategy_parts.h"

extern const byn_strategy_ops byn_strategy_dfs;

#endif
