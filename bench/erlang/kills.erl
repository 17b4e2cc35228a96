%% A node is killed by SIGKILL: the time until another one knows of it.
%% bench/banyan/kills.lua does the same.
-module(kills).
-export([measure/1]).
-export([serve/0, kill/2, open_shell/0, signal/2]).

-define(KILLS, 15).
-define(REST_MS, 200).

%% --- on the nodes ------------------------------------------------------------

%% The node that is to be killed.
serve() ->
    {ok, _} = gen_server:start({local, echo}, echo, nil, []),
    ok.

%% A shell that waits for a signal to send.
open_shell() ->
    open_port({spawn_executable, "/bin/sh"}, [{args, []}, stream]).

signal(Shell, OsPid) ->
    port_command(Shell, ["kill -9 ", OsPid, "\n"]).

%% Kills a node. Returns the ms from there to the DOWN of a process on it, and
%% to nodedown.
kill(Node, OsPid) ->
    Shell = open_shell(),
    ok = net_kernel:monitor_nodes(true),
    true = net_kernel:connect_node(Node),
    1 = gen_server:call({echo, Node}, 1),
    Ref = monitor(process, {echo, Node}),
    timer:sleep(?REST_MS),
    Start = erlang:monotonic_time(),
    signal(Shell, OsPid),
    Down = receive {'DOWN', Ref, process, _, noconnection} -> ms(Start) end,
    NodeDown = receive {nodedown, Node} -> ms(Start) end,
    net_kernel:monitor_nodes(false),
    port_close(Shell),
    {Down, NodeDown}.

ms(Start) ->
    Took = erlang:monotonic_time() - Start,
    erlang:convert_time_unit(Took, native, nanosecond) / 1.0e6.

%% --- the measurement ---------------------------------------------------------

measure(Report) ->
    [A] = peers:start_all(1),
    [one(A, Report) || _ <- lists:seq(1, ?KILLS)],
    ok.

one(A, Report) ->
    [{_, Node} = Victim] = peers:start_all(1),
    ok = peers:call(Victim, ?MODULE, serve, []),
    OsPid = peers:call(Victim, os, getpid, []),
    {Down, NodeDown} = peers:call(A, ?MODULE, kill, [Node, OsPid]),
    Report("kill_down", Down, "ms"),
    Report("kill_nodedown", NodeDown, "ms").
