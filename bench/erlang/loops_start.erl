%% Children are started on a node that runs loops without end, by another one.
%% bench/banyan/loops_start.lua does the like.
-module(loops_start).
-export([measure/1]).
-export([alone/2, at_once/2]).

-define(STARTS, 100).
-define(LOOPS, 10).

%% --- on the nodes ------------------------------------------------------------

start(Node, Id) ->
    Spec = #{id => Id, start => {echo, start_link, []}},
    {ok, _} = erpc:call(Node, supervisor, start_child, [children, Spec]).

%% Starts children there, one after the other. Returns seconds.
alone(Node, Ids) ->
    measure:time(fun() -> [start(Node, Id) || Id <- Ids] end).

%% The same, all at once.
at_once(Node, Ids) ->
    measure:time(fun() ->
        Starters = [spawn_monitor(fun() -> start(Node, Id) end) || Id <- Ids],
        [receive {'DOWN', Ref, process, _, normal} -> ok end
         || {_, Ref} <- Starters]
    end).

%% --- the measurement ---------------------------------------------------------

measure(Report) ->
    [A, {_, Node} = B] = Peers = loops:start_all(2),
    peers:connect(Peers),
    ok = peers:call(B, starts, open, []),
    peers:call(B, loops, begin_loops, [?LOOPS]),
    Go = fun(What, From) ->
        Ids = lists:seq(From + 1, From + ?STARTS),
        peers:call(A, ?MODULE, What, [Node, Ids])
    end,
    Report("start_100", Go(alone, 0), "s"),
    Report("start_100_at_once", Go(at_once, ?STARTS), "s").
