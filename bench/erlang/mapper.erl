%% A server that answers each map with a fresh one.
-module(mapper).
-behaviour(gen_server).
-export([start_link/0, init/1, handle_call/3, handle_cast/2]).

start_link() -> gen_server:start_link(?MODULE, nil, []).

init(Arg) -> {ok, Arg}.
handle_call(#{id := Id, name := Name, at := At}, _From, State) ->
    {reply, #{id => Id, name => Name, at => At}, State}.
handle_cast(_Message, State) -> {noreply, State}.
