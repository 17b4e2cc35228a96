%% Calls to a node that runs loops without end. bench/banyan/loops_call.lua
%% does the same.
-module(loops_call).
-export([measure/1]).
-export([serve/0, call/1]).

-define(CALLS, 2000).
-define(WARM_UP, 50).
-define(LOOPS, [0, 1, 10]).

%% --- on the nodes ------------------------------------------------------------

%% The node that is called.
serve() ->
    {ok, _} = gen_server:start({local, echo}, echo, nil, []),
    ok.

%% Calls, one after another. Returns seconds: the median, the 99th percentile,
%% the greatest.
call(Node) ->
    [one(Node, I) || I <- lists:seq(1, ?WARM_UP)],
    Times = lists:sort([one(Node, I) || I <- lists:seq(1, ?CALLS)]),
    {lists:nth(?CALLS div 2, Times), lists:nth(?CALLS * 99 div 100, Times),
     lists:last(Times)}.

one(Node, I) ->
    timer:sleep(1 + I rem 3),
    measure:time(fun() -> I = gen_server:call({echo, Node}, I) end).

%% --- the measurement ---------------------------------------------------------

measure(Report) ->
    [A, {_, Node} = B] = Peers = loops:start_all(2),
    peers:connect(Peers),
    ok = peers:call(B, ?MODULE, serve, []),
    lists:foldl(fun(Count, Running) ->
        peers:call(B, loops, begin_loops, [Count - Running]),
        {Median, Late, Last} = peers:call(A, ?MODULE, call, [Node]),
        Key = fun(What) ->
            lists:concat(["call_", What, "_", Count])
        end,
        Report(Key(p50), Median, "s"),
        Report(Key(p99), Late, "s"),
        Report(Key(max), Last, "s"),
        Count
    end, 0, ?LOOPS),
    ok.
