%% Clusters that have nothing to do: what their nodes write to each other, with
%% the net_ticktime that is the default. bench/banyan/quiet.lua does the same.
-module(quiet).
-export([measure/1]).

-define(SIZES, [3, 10, 30]).
-define(SECONDS, 60). % four ticks on each link
-define(REST, 5).

measure(Report) ->
    Clusters = [start(Size) || Size <- ?SIZES],
    timer:sleep(1000 * ?REST),
    Before = [peers:used(Peers) || Peers <- Clusters],
    timer:sleep(1000 * ?SECONDS),
    [report(Report, Size, peers:used(Peers, Used))
     || {Size, Peers, Used} <- lists:zip3(?SIZES, Clusters, Before)],
    ok.

start(Size) ->
    Peers = peers:start_all(Size),
    peers:connect(Peers),
    Peers.

report(Report, Size, {Cpu, Bytes, Writes}) ->
    Key = fun(What) -> "quiet_" ++ What ++ "_" ++ integer_to_list(Size) end,
    Report(Key("writes"), Writes / ?SECONDS, "/s"),
    Report(Key("bytes"), Bytes / ?SECONDS, "B/s"),
    Report(Key("cpu"), Cpu / 1000 / Size / ?SECONDS, "ms/s").
