%% Runs one measurement of a cluster and prints its figures for
%% bench/cluster.lua.
%%
%%     make bench; erl -noshell -pa build/erlang -run cluster main kills
%%
%% A measurement is the function `measure` of a module. It gets a function to
%% report a figure with, any number of them under each key.
-module(cluster).
-export([main/1]).

-spec main([string()]) -> no_return().
main([Name]) ->
    logger:set_primary_config(level, none),
    (list_to_atom(Name)):measure(fun(Key, Figure, Unit) ->
        io:format("~s ~.9e ~s~n", [Key, float(Figure), Unit])
    end),
    halt(0).
