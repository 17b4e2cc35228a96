%% The smallest server: it keeps its argument and answers what it is asked.
-module(echo).
-behaviour(gen_server).
-export([start_link/0, init/1, handle_call/3, handle_cast/2]).

start_link() -> gen_server:start_link(?MODULE, nil, []).

init(Arg) -> {ok, Arg}.
handle_call(Message, _From, State) -> {reply, Message, State}.
handle_cast(_Message, State) -> {noreply, State}.
