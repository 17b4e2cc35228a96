%% What ten loops do together, beside what one does alone.
%% bench/banyan/loops_share.lua does the same.
-module(loops_share).
-export([measure/1]).

-define(LOOPS, 10).
-define(MS, 1000).

measure(Report) ->
    One = rate(1),
    All = rate(?LOOPS),
    Report("loop_rate", One, "/s"),
    Report("loops_rate", All, "/s"),
    Report("loops_share", All / One * 100, "%").

rate(Count) ->
    [{Pid, _} = Node] = loops:start_all(1),
    peers:call(Node, loops, begin_loops, [Count]),
    peers:call(Node, loops, rate, [?MS]),
    Rate = peers:call(Node, loops, rate, [?MS]),
    peer:stop(Pid),
    Rate.
