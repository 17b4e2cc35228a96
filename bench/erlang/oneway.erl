%% Binaries of several sizes, sent one way to another node.
%% bench/banyan/oneway.lua does the same.
-module(oneway).
-export([measure/1]).
-export([serve/0, send/4]).

-define(ROUNDS, 5).
-define(SLICES, 4).

%% Of each size: its key, bytes, messages of a slice, and how many of them may
%% be on their way before the sender waits.
sizes() ->
    [{"100", 100, 50000, 500},
     {"1k", 1024, 30000, 250},
     {"64k", 65536, 1500, 25},
     {"1m", 1048576, 90, 3}].

%% --- on the nodes ------------------------------------------------------------

%% The other node: a process that takes messages.
serve() ->
    register(sink, spawn(fun() -> sink(0) end)),
    ok.

sink(Taken) ->
    receive
        {to, To} -> To ! {taken, Taken}, sink(0);
        Binary -> sink(Taken + byte_size(Binary))
    end.

send(Peer, Bytes, Count, Ahead) ->
    measure:time(fun() ->
        Taken = send({sink, Peer}, binary:copy(<<"x">>, Bytes), Count, Ahead,
            1, 0),
        Taken = Bytes * Count
    end).

send(_Dest, _Binary, Count, _Ahead, I, Taken) when I > Count ->
    Taken + taken();
send(Dest, Binary, Count, Ahead, I, Taken) ->
    Dest ! Binary,
    if I rem Ahead =:= 0 -> Dest ! {to, self()}; true -> ok end,
    More = if
        I rem Ahead =:= 0, I > Ahead -> taken();
        true -> 0
    end,
    send(Dest, Binary, Count, Ahead, I + 1, Taken + More).

taken() ->
    receive {taken, Taken} -> Taken end.

%% --- the measurement ---------------------------------------------------------

measure(Report) ->
    [A, {_, Node} = B] = Peers = peers:start_all(2),
    ok = peers:call(B, ?MODULE, serve, []),
    peers:connect(Peers),
    Measure = fun(Round) ->
        [begin
             {Seconds, Cpu} = slices(A, Peers, [Node, Bytes, Count, Ahead]),
             if
                 Round =:= 0 -> ok;
                 true ->
                     All = ?SLICES * Count,
                     Report("oneway_" ++ Key, All / Seconds, "/s"),
                     Report("oneway_" ++ Key ++ "_cpu", Cpu / All, "us")
             end
         end || {Key, Bytes, Count, Ahead} <- sizes()]
    end,
    lists:foreach(Measure, lists:seq(0, ?ROUNDS)).

%% Several slices together: CPU is counted in hundredths of a second.
slices(A, Peers, Args) ->
    Before = peers:used(Peers),
    Seconds = [peers:call(A, ?MODULE, send, Args)
               || _ <- lists:seq(1, ?SLICES)],
    {Cpu, _, _} = peers:used(Peers, Before),
    {lists:sum(Seconds), Cpu}.
