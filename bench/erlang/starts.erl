%% Children are started on three nodes. OTP has no distributed supervisor; this
%% has the parts that one might be made of:
%%
%%   start         each node has a supervisor, and phash2 of the id names the
%%                 node: no other node knows of the child
%%   start_global  the same, and the child is registered in global, so that all
%%                 nodes know it, and it runs once; for looking up as well
%%
%% bench/banyan/starts.lua does the like.
-module(starts).
-behaviour(supervisor).
-export([init/1, measure/1]).
-export([open/0, start/3, alone/3, at_once/3, look/1]).

-define(GROUPS, 6).
-define(ALONE, 600).
-define(BATCHES, 6).
-define(BATCH, 100).
-define(LOOKUPS, 200000).

init(nil) -> {ok, {#{}, []}}.

%% --- on the nodes ------------------------------------------------------------

open() ->
    Me = self(),
    spawn(fun() ->
        {ok, _} = supervisor:start_link({local, children}, ?MODULE, nil),
        Me ! ready,
        timer:sleep(infinity)
    end),
    receive ready -> ok end.

start(Nodes, local, Id) ->
    start_there(Nodes, Id, {echo, start_link, []});
start(Nodes, global, Id) ->
    start_there(Nodes, Id,
                {gen_server, start_link, [{global, Id}, echo, nil, []]}).

start_there(Nodes, Id, Start) ->
    Node = lists:nth(erlang:phash2(Id, length(Nodes)) + 1, Nodes),
    {ok, _} = erpc:call(Node, supervisor, start_child,
                        [children, #{id => Id, start => Start}]).

%% Starts the children Ids, one after the other. Returns seconds.
alone(Nodes, How, Ids) ->
    measure:time(fun() -> [start(Nodes, How, Id) || Id <- Ids] end).

%% The same, all at once.
at_once(Nodes, How, Ids) ->
    measure:time(fun() ->
        Starters = [spawn_monitor(fun() -> start(Nodes, How, Id) end)
                    || Id <- Ids],
        [receive {'DOWN', Ref, process, _, normal} -> ok end
         || {_, Ref} <- Starters]
    end).

%% Looks children up, out of Ids. Returns seconds.
look(Ids) ->
    All = list_to_tuple(Ids),
    measure:time(fun() -> look(All, ?LOOKUPS) end).

look(_All, 0) -> ok;
look(All, N) ->
    global:whereis_name(element(N rem tuple_size(All) + 1, All)),
    look(All, N - 1).

%% --- the measurement ---------------------------------------------------------

measure(Report) ->
    Peers = peers:start_all(3),
    peers:connect(Peers),
    [ok = peers:call(P, ?MODULE, open, []) || P <- Peers],
    [group(Peers, How, I, Report)
     || I <- lists:seq(0, ?GROUPS - 1), How <- [local, global]],
    ok.

group([A | _] = Peers, How, I, Report) ->
    Go = fun(What, From, Count) ->
        Ids = [{How, I, N} || N <- lists:seq(From + 1, From + Count)],
        peers:call(A, ?MODULE, What, [peers:names(Peers), How, Ids])
    end,
    Before = peers:used(Peers),
    Alone = Go(alone, 0, ?ALONE),
    {Cpu, _, _} = peers:used(Peers, Before),
    Between = peers:used(Peers),
    Batches = lists:sum([Go(at_once, ?ALONE + B * ?BATCH, ?BATCH)
                         || B <- lists:seq(1, ?BATCHES)]),
    {BatchCpu, _, _} = peers:used(Peers, Between),
    if
        I =:= 0 -> ok;
        true ->
            Key = case How of local -> "start"; global -> "start_global" end,
            Report(Key, ?ALONE / Alone, "/s"),
            Report(Key ++ "_cpu", Cpu / ?ALONE, "us"),
            Report(Key ++ "_100", Batches / ?BATCHES, "s"),
            Report(Key ++ "_100_cpu", BatchCpu / ?BATCHES / ?BATCH, "us"),
            report_look(A, How, I, Report)
    end.

report_look(_A, local, _I, _Report) -> ok;
report_look(A, global, I, Report) ->
    Ids = [{global, I, N} || N <- lists:seq(1, ?ALONE)],
    Report("whereis", peers:call(A, ?MODULE, look, [Ids]) / ?LOOKUPS, "s").
