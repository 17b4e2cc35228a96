%% A server that tells its number and its pid whenever it starts.
-module(herald).
-behaviour(gen_server).
-export([start_link/2, init/1, handle_call/3, handle_cast/2]).

start_link(To, N) -> gen_server:start_link(?MODULE, {To, N}, []).

init({To, N}) ->
    To ! {N, self()},
    {ok, nil}.
handle_call(Message, _From, State) -> {reply, Message, State}.
handle_cast(_Message, State) -> {noreply, State}.
