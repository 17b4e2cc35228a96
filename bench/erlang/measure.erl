%% Runs one measurement of Erlang/OTP and prints its figure for
%% bench/compare.lua.
%%
%%     make bench; erl -noshell -pa build/erlang -run measure main call
%%
%% A measurement is a function in one of the modules beside this one that
%% answers {Figure, Unit}. "about" says what this is.
-module(measure).
-export([main/1, time/1]).

-spec main([string()]) -> no_return().
main(["about"]) ->
    io:format("OTP ~s, ~b schedulers~n", [erlang:system_info(otp_release),
        erlang:system_info(schedulers_online)]),
    halt(0);
main([Name]) ->
    %% As on the other side, nothing is logged.
    logger:set_primary_config(level, none),
    Measure = list_to_atom(Name),
    [Module | _] = [M || M <- [messages, supervisors, idle],
                         {module, M} =:= code:ensure_loaded(M),
                         erlang:function_exported(M, Measure, 0)],
    {Value, Unit} = Module:Measure(),
    io:format("~s ~.3f ~s~n", [Name, float(Value), Unit]),
    halt(0).

%% Seconds of the wall clock that Fun takes.
time(Fun) ->
    Start = erlang:monotonic_time(),
    Fun(),
    Took = erlang:monotonic_time() - Start,
    erlang:convert_time_unit(Took, native, nanosecond) / 1.0e9.
