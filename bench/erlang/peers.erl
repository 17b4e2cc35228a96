%% Starts nodes as OS processes and has them do things. Who uses this is no
%% node itself. bench/banyan/nodes.lua does the same.
-module(peers).
-export([start_all/1, start_all/2, connect/1, names/1, call/4, call_all/4]).
-export([used/1, used/2, cpu/0, sent/0]).

%% A peer is {Pid, Node}: the process that talks to it on its stdin, its name.
start_all(Wanted) -> start_all(Wanted, []).

%% With more arguments of the command erl.
start_all(Wanted, Args) ->
    Ports = free_ports(Wanted),
    Me = self(),
    [spawn_link(fun() ->
         Me ! {Port, start(Port, Args)},
         timer:sleep(infinity)
     end) || Port <- Ports],
    [receive {Port, Peer} -> Peer end || Port <- Ports].

free_ports(Wanted) ->
    Sockets = [gen_tcp:listen(0, [{ip, {127, 0, 0, 1}}])
               || _ <- lists:seq(1, Wanted)],
    [begin {ok, Port} = inet:port(S), gen_tcp:close(S), Port end
     || {ok, S} <- Sockets].

start(Port, Args) ->
    {ok, Pid, Node} = peer:start_link(
        #{name => "n" ++ integer_to_list(Port), host => "127.0.0.1",
          longnames => true, connection => standard_io, wait_boot => 60000,
          args => ["-start_epmd", "false", "-epmd_module", "ports",
                   "-setcookie", "bench", "-pa",
                   filename:dirname(code:which(?MODULE)) | Args]}),
    call({Pid, Node}, logger, set_primary_config, [level, none]),
    {Pid, Node}.

names(Peers) -> [Node || {_, Node} <- Peers].

call({Pid, _}, Module, Function, Args) ->
    peer:call(Pid, Module, Function, Args, infinity).

%% On all at the same time.
call_all(Peers, Module, Function, Args) ->
    Me = self(),
    Refs = [begin
                Ref = make_ref(),
                spawn_link(fun() ->
                    Me ! {Ref, call(Peer, Module, Function, Args)}
                end),
                Ref
            end || Peer <- Peers],
    [receive {Ref, Answer} -> Answer end || Ref <- Refs].

%% Connects each with the first; global connects them with each other.
connect([First | _] = Peers) ->
    [true = call(P, net_kernel, connect_node, [element(2, First)])
     || P <- Peers],
    wait_connected(Peers).

wait_connected(Peers) ->
    Counts = [length(call(P, erlang, nodes, [])) || P <- Peers],
    case lists:min(Counts) + 1 of
        N when N =:= length(Peers) -> ok;
        _ -> timer:sleep(50), wait_connected(Peers)
    end.

%% {us of CPU, bytes, writes} that the peers have used together.
used(Peers) ->
    lists:foldl(fun(Peer, {Cpu, Bytes, Writes}) ->
        {B, W} = call(Peer, ?MODULE, sent, []),
        {Cpu + call(Peer, ?MODULE, cpu, []), Bytes + B, Writes + W}
    end, {0, 0, 0}, Peers).

used(Peers, {Cpu, Bytes, Writes}) ->
    {C, B, W} = used(Peers),
    {C - Cpu, B - Bytes, W - Writes}.

%% us of CPU of this OS process, of all threads.
cpu() ->
    {ok, Stat} = file:read_file("/proc/self/stat"),
    [_, Rest] = binary:split(Stat, <<") ">>),
    Fields = binary:split(Rest, <<" ">>, [global]),
    [User, System] = [binary_to_integer(lists:nth(I, Fields)) || I <- [12, 13]],
    (User + System) * 10000.

%% What was written to the sockets of the links.
sent() ->
    lists:foldl(fun({_Node, Port}, {Bytes, Writes}) when is_port(Port) ->
        {ok, [{send_oct, B}, {send_cnt, W}]} =
            inet:getstat(Port, [send_oct, send_cnt]),
        {Bytes + B, Writes + W}
    end, {0, 0}, erlang:system_info(dist_ctrl)).
