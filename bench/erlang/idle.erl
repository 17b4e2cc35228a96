%% Servers that have nothing to do: what they take up, and whether others
%% notice them. bench/banyan/idle.lua does the same.
-module(idle).
-export([memory/0, pause/0]).

%% Bytes that each of many supervised servers adds to the OS process.
memory() ->
    N = 100000,
    supervisors:crowd(1000),
    Before = resident(),
    Sup = supervisors:crowd(N),
    erlang:garbage_collect(Sup),
    {(resident() - Before) / N, "B"}.

resident() ->
    erlang:garbage_collect(),
    {ok, Status} = file:read_file("/proc/self/status"),
    [_, Rest] = binary:split(Status, <<"VmRSS:">>),
    {ok, [KiB], _} = io_lib:fread("~d", binary_to_list(Rest)),
    KiB * 1024.

%% Two processes send each other small tuples beside 200,000 idle servers: the
%% longest that one waits for the next message.
pause() ->
    supervisors:crowd(200000),
    Me = self(),
    Pong = spawn_link(fun() -> pong(Me) end),
    Now = erlang:monotonic_time(),
    End = Now + erlang:convert_time_unit(2, second, native),
    Longest = wait(Pong, Now, End, 0),
    {erlang:convert_time_unit(Longest, native, nanosecond) / 1.0e6, "ms"}.

pong(To) ->
    receive Message -> To ! Message end,
    pong(To).

wait(_Pong, Last, End, Longest) when Last >= End -> Longest;
wait(Pong, Last, End, Longest) ->
    Pong ! {1, 2, Last},
    receive {_, _, _} -> ok end,
    Now = erlang:monotonic_time(),
    wait(Pong, Now, End, max(Longest, Now - Last)).
