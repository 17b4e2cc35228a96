%% Calls and messages to another node. bench/banyan/links.lua does the same.
-module(links).
-export([measure/1]).
-export([serve/0, alone/1, call/1, send/1]).

-define(CALLERS, 16).
-define(CALLS, 8000).
-define(MESSAGES, 50000).
-define(AHEAD, 500).
-define(ALONE, 3000).
-define(SLICES, 2).

%% --- on the nodes ------------------------------------------------------------

%% The other node: a server that echoes, and a process that takes messages.
serve() ->
    {ok, _} = gen_server:start({local, echo}, echo, nil, []),
    register(sink, spawn(fun sink/0)),
    ok.

sink() ->
    receive
        {last, To} -> To ! done;
        _ -> ok
    end,
    sink().

calls(_Dest, 0) -> ok;
calls(Dest, N) ->
    N = gen_server:call(Dest, N),
    calls(Dest, N - 1).

alone(Peer) ->
    measure:time(fun() -> calls({echo, Peer}, ?ALONE) end).

call(Peer) ->
    measure:time(fun() ->
        Callers = [spawn_monitor(fun() ->
            calls({echo, Peer}, ?CALLS div ?CALLERS)
        end) || _ <- lists:seq(1, ?CALLERS)],
        [receive {'DOWN', Ref, process, _, normal} -> ok end
         || {_, Ref} <- Callers]
    end).

send(Peer) ->
    measure:time(fun() ->
        send({sink, Peer}, 1),
        receive done -> ok end
    end).

send(_Dest, I) when I > ?MESSAGES -> ok;
send(Dest, I) ->
    Dest ! {1, 2, I},
    if I rem ?AHEAD =:= 0 -> Dest ! {last, self()}; true -> ok end,
    if
        I rem ?AHEAD =:= 0, I > ?AHEAD -> receive done -> ok end;
        true -> ok
    end,
    send(Dest, I + 1).

%% --- the measurement ---------------------------------------------------------

measure(Report) ->
    [A, {_, Node} = B] = Peers = peers:start_all(2),
    ok = peers:call(B, ?MODULE, serve, []),
    peers:connect(Peers),
    Measure = fun(I) ->
        Alone = peers:call(A, ?MODULE, alone, [Node]),
        Figures = [{What, Count, group(Peers, What)}
                   || {What, Count} <- [{call, ?CALLS}, {send, ?MESSAGES}]],
        if
            I =:= 0 -> ok;
            true ->
                Report("call_alone", Alone / ?ALONE, "s"),
                [report_group(Report, Figure) || Figure <- Figures]
        end
    end,
    lists:foreach(Measure, lists:seq(0, 5)).

%% Seconds and us of CPU of several slices together: CPU is counted in
%% hundredths of a second.
group([A, {_, Node}] = Peers, What) ->
    Before = peers:used(Peers),
    Seconds = [peers:call(A, ?MODULE, What, [Node]) || _ <- lists:seq(1, ?SLICES)],
    {Cpu, _, _} = peers:used(Peers, Before),
    {lists:sum(Seconds), Cpu}.

report_group(Report, {What, Count, {Seconds, Cpu}}) ->
    Key = atom_to_list(What),
    Report(Key, ?SLICES * Count / Seconds, "/s"),
    Report(Key ++ "_cpu", Cpu / (?SLICES * Count), "us").
