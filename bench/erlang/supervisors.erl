%% Children that start, stop and crash, in small numbers and great.
%% bench/banyan/supervisors.lua does the same.
-module(supervisors).
-behaviour(supervisor).
-export([init/1, crowd/1]).
-export([start_dynamic/0, stop_dynamic/0, stop_static/0]).
-export([start_elixir/0, stop_elixir/0]).
-export([restart/0, one_for_all/0]).

init(Arg) -> {ok, Arg}.

%% A simple_one_for_one supervisor with that many children.
crowd(N) ->
    {ok, Sup} = supervisor:start_link(?MODULE,
        {#{strategy => simple_one_for_one},
         [#{id => echo, start => {echo, start_link, []},
            restart => temporary}]}),
    repeat(N, fun() -> {ok, _} = supervisor:start_child(Sup, []) end),
    Sup.

start_dynamic() ->
    N = 100000,
    {N / measure:time(fun() -> crowd(N) end), "/s"}.

stop_dynamic() ->
    Sup = crowd(10000),
    {1000 * measure:time(fun() -> gen_server:stop(Sup) end), "ms"}.

%% The same under a DynamicSupervisor, where Elixir is installed.
elixir_crowd(N) ->
    {ok, Sup} = 'Elixir.DynamicSupervisor':start_link(
        [{strategy, one_for_one}]),
    Spec = #{id => echo, start => {echo, start_link, []},
             restart => temporary},
    Start = fun() ->
        {ok, _} = 'Elixir.DynamicSupervisor':start_child(Sup, Spec)
    end,
    repeat(N, Start),
    Sup.

start_elixir() ->
    N = 100000,
    {N / measure:time(fun() -> elixir_crowd(N) end), "/s"}.

stop_elixir() ->
    Sup = elixir_crowd(10000),
    {1000 * measure:time(fun() -> gen_server:stop(Sup) end), "ms"}.

stop_static() ->
    {ok, Sup} = supervisor:start_link(?MODULE,
        {#{}, [#{id => I, start => {echo, start_link, []}}
               || I <- lists:seq(1, 100000)]}),
    {1000 * measure:time(fun() -> gen_server:stop(Sup) end), "ms"}.

heralds(N, Strategy) ->
    {ok, _} = supervisor:start_link(?MODULE,
        {#{strategy => Strategy, intensity => 1000000000, period => 5},
         [#{id => I, start => {herald, start_link, [self(), I]}}
          || I <- lists:seq(1, N)]}).

%% The pid of child number N, once it has started.
await(N) ->
    receive {I, Pid} when I =:= N -> Pid; _ -> await(N) end.

%% A child crashes as soon as it has started, for three seconds.
restart() ->
    Start = erlang:monotonic_time(),
    heralds(1, one_for_one),
    crash(Start, Start + erlang:convert_time_unit(3, second, native), 1).

crash(Start, End, N) ->
    exit(await(1), crashed),
    case erlang:monotonic_time() of
        Now when Now > End ->
            Took = erlang:convert_time_unit(Now - Start, native, nanosecond),
            {N * 1.0e9 / Took, "/s"};
        _ ->
            crash(Start, End, N + 1)
    end.

%% The first of a thousand crashes: from there until the last has started.
one_for_all() ->
    Rounds = 20,
    heralds(1000, one_for_all),
    First = await(1),
    await(1000),
    Took = measure:time(fun() -> crash_all(First, Rounds) end),
    {Took / Rounds * 1000, "ms"}.

crash_all(_First, 0) -> ok;
crash_all(First, N) ->
    exit(First, crashed),
    Next = await(1),
    await(1000),
    crash_all(Next, N - 1).

repeat(0, _Fun) -> ok;
repeat(N, Fun) ->
    Fun(),
    repeat(N - 1, Fun).
