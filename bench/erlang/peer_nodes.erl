%% One kind of Erlang's peers for bench/peers.lua: framed (standard_io), tcp or
%% dist. Prints lines of `key figure unit`.
-module(peer_nodes).
-export([main/1]).

-define(CALLS, 5000).

-spec main([string()]) -> no_return().
main([Kind]) ->
    logger:set_primary_config(level, none),
    boot(Kind),
    calls(Kind),
    twenty(Kind),
    cycles(Kind),
    halt(0).

start("framed") -> started(peer:start(#{connection => standard_io}));
start("tcp") -> started(peer:start(#{connection => 0}));
start("dist") -> started(peer:start(#{name => peer:random_name()})).

started({ok, Peer, Node}) -> {Peer, Node};
started({ok, Peer}) -> {Peer, undefined}.

stop({Peer, _}) -> peer:stop(Peer).

call("dist", {_, Node}, M, F, A) -> erpc:call(Node, M, F, A, 60000);
call(_, {Peer, _}, M, F, A) -> peer:call(Peer, M, F, A, 60000).

say(Key, Kind, Value, Unit) ->
    io:format("~s_~s ~.3f ~s~n", [Key, Kind, float(Value), Unit]).

ms(Fun) -> measure:time(Fun) * 1000.

boot(Kind) ->
    Times = [begin
                 Start = erlang:monotonic_time(),
                 P = start(Kind),
                 Took = erlang:monotonic_time() - Start,
                 stop(P),
                 erlang:convert_time_unit(Took, native, microsecond) / 1000
             end || _ <- lists:seq(1, 5)],
    say("boot", Kind, lists:nth(3, lists:sort(Times)), "ms").

calls(Kind) ->
    P = start(Kind),
    Repeat = fun(N) ->
        [call(Kind, P, erlang, abs, [-1]) || _ <- lists:seq(1, N)]
    end,
    Repeat(500),
    say("call", Kind, ms(fun() -> Repeat(?CALLS) end) * 1000 / ?CALLS, "us"),
    Big = binary:copy(<<"x">>, 1024 * 1024),
    Mib = fun() -> [call(Kind, P, erlang, hd, [[Big]]) || _ <- lists:seq(1, 5)] end,
    say("big", Kind, ms(Mib) / 5, "ms"),
    Me = self(),
    Many = fun() ->
        [spawn_link(fun() -> Repeat(5), Me ! done end)
         || _ <- lists:seq(1, 1000)],
        [receive done -> ok end || _ <- lists:seq(1, 1000)]
    end,
    say("many", Kind, ms(Many) * 1000 / 5000, "us"),
    stop(P).

twenty(Kind) ->
    Me = self(),
    Start = erlang:monotonic_time(),
    [spawn_link(fun() -> P = start(Kind), Me ! {up, P}, timer:sleep(600000) end)
     || _ <- lists:seq(1, 20)],
    Peers = [receive {up, P} -> P end || _ <- lists:seq(1, 20)],
    Took = erlang:monotonic_time() - Start,
    say("twenty", Kind,
        erlang:convert_time_unit(Took, native, microsecond) / 1000, "ms"),
    [stop(P) || P <- Peers].

%% A VM takes its time: few are enough.
cycles(Kind) ->
    Run = fun() -> [stop(start(Kind)) || _ <- lists:seq(1, 10)] end,
    say("cycle", Kind, ms(Run) / 10, "ms").
