%% Messages between processes, calls, and processes that come and go.
%% bench/banyan/messages.lua does the same.
-module(messages).
-export([call/0, call_queued/0, call_table/0, ping_pong/0, spawn/0]).

%% A call and its answer, an integer each: copied, monitored, timed out after
%% 5 s.
call() ->
    N = 1000000,
    {ok, Pid} = echo:start_link(),
    {N / measure:time(fun() -> calls(Pid, N) end), "/s"}.

calls(_Pid, 0) -> ok;
calls(Pid, N) ->
    N = gen_server:call(Pid, N),
    calls(Pid, N - 1).

%% The same while many messages wait for the caller.
call_queued() ->
    [self() ! #{queued => I} || I <- lists:seq(1, 100000)],
    call().

%% A call and its answer, a fresh map of three fields each.
call_table() ->
    N = 500000,
    {ok, Pid} = mapper:start_link(),
    {N / measure:time(fun() -> call_tables(Pid, N) end), "/s"}.

call_tables(_Pid, 0) -> ok;
call_tables(Pid, N) ->
    #{} = gen_server:call(Pid, #{id => N, name => <<"x">>, at => 1.5}),
    call_tables(Pid, N - 1).

%% An integer goes to and fro between two processes; each way counts.
ping_pong() ->
    N = 1000000,
    Me = self(),
    Pong = spawn_link(fun() -> pong(Me) end),
    {2 * N / measure:time(fun() -> ping(Pong, N) end), "/s"}.

pong(To) ->
    receive Message -> To ! Message end,
    pong(To).

ping(_Pong, 0) -> ok;
ping(Pong, N) ->
    Pong ! N,
    receive N -> ok end,
    ping(Pong, N - 1).

%% A monitored process starts, ends, and its DOWN is read.
spawn() ->
    N = 500000,
    {N / measure:time(fun() -> spawns(N) end), "/s"}.

spawns(0) -> ok;
spawns(N) ->
    {_, Ref} = spawn_monitor(fun() -> ok end),
    receive {'DOWN', Ref, process, _, _} -> ok end,
    spawns(N - 1).
