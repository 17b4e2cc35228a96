%% 30,000 supervised processes on three nodes, one of which is killed. OTP has
%% nothing that knows where children run, or that starts them elsewhere. Here
%% one process knows all of it, and starts those of the dead node on the other
%% two when it hears nodedown, by erpc. bench/banyan/crowd.lua does the like.
-module(crowd).
-export([measure/1]).
-export([fill/2, death/3]).

-define(TOTAL, 30000).
-define(STARTERS, 16).

%% --- on the nodes ------------------------------------------------------------

fill(Nodes, Ids) -> in_parallel(Nodes, Ids).

%% Child Id starts on one of Nodes; so many callers at the same time.
in_parallel(Nodes, Ids) ->
    Starters = [spawn_monitor(fun() ->
        [starts:start(Nodes, local, Id)
         || Id <- Ids, erlang:phash2({Id, starter}, ?STARTERS) =:= S]
    end) || S <- lists:seq(0, ?STARTERS - 1)],
    [receive {'DOWN', Ref, process, _, normal} -> ok end
     || {_, Ref} <- Starters],
    ok.

%% Kills the last of Nodes. Returns seconds until its children run elsewhere,
%% and how many these are.
death(Nodes, OsPid, Ids) ->
    Shell = kills:open_shell(),
    Dead = lists:last(Nodes),
    Moved = [Id || Id <- Ids, erlang:phash2(Id, length(Nodes)) =:= 2],
    ok = net_kernel:monitor_nodes(true),
    Seconds = measure:time(fun() ->
        kills:signal(Shell, OsPid),
        receive {nodedown, Dead} -> ok end,
        in_parallel(lists:droplast(Nodes), Moved)
    end),
    {Seconds, length(Moved)}.

%% --- the measurement ---------------------------------------------------------

measure(Report) ->
    [A, B, C] = Peers = peers:start_all(3),
    peers:connect(Peers),
    [ok = peers:call(P, starts, open, []) || P <- Peers],
    Ids = lists:seq(1, ?TOTAL),
    Before = peers:used(Peers),
    ok = peers:call(A, ?MODULE, fill, [peers:names(Peers), Ids]),
    {Cpu, _, _} = peers:used(Peers, Before),
    Report("fill_cpu", Cpu / ?TOTAL, "us"),
    OsPid = peers:call(C, os, getpid, []),
    Between = peers:used([A, B]),
    {Seconds, Moved} = peers:call(A, ?MODULE, death,
                                  [peers:names(Peers), OsPid, Ids]),
    {DeathCpu, DeathBytes, _} = peers:used([A, B], Between),
    Report("death", Seconds * 1000 / Moved * 10000, "ms"),
    Report("death_cpu", DeathCpu / Moved, "us"),
    Report("death_bytes", DeathBytes / Moved, "B").
