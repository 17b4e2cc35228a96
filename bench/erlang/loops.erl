%% Processes that compute without end, for the measurements loops_*.
%% bench/banyan/loops.lua has Banyan's.
-module(loops).
-export([start_all/1, begin_loops/1, rate/1]).

%% Nodes with one scheduler.
start_all(Wanted) -> peers:start_all(Wanted, ["+S", "1:1"]).

%% Starts so many, which go on as long as this node lives.
begin_loops(Count) ->
    case persistent_term:get(?MODULE, none) of
        none -> persistent_term:put(?MODULE, {counters:new(64, []), 0});
        _ -> ok
    end,
    {Steps, Running} = persistent_term:get(?MODULE),
    [spawn(fun() -> loop(Steps, I, 1) end)
     || I <- lists:seq(Running + 1, Running + Count)],
    persistent_term:put(?MODULE, {Steps, Running + Count}),
    timer:sleep(50).

%% A step is a function call and arithmetic; every 64 of them are counted.
loop(Steps, I, Value) ->
    Next = steps(Value, 1),
    counters:add(Steps, I, 64),
    loop(Steps, I, Next).

steps(Value, 65) -> Value;
steps(Value, K) -> steps((Value * 31 + K) rem 1000003, K + 1).

%% For Ms: the steps that all have done for each second of CPU.
rate(Ms) ->
    {StepsBefore, Before} = read(),
    timer:sleep(Ms),
    {StepsAfter, After} = read(),
    (StepsAfter - StepsBefore) / (After - Before) * 1.0e6.

read() ->
    {Steps, Running} = persistent_term:get(?MODULE),
    {lists:sum([counters:get(Steps, I) || I <- lists:seq(1, Running)]),
     peers:cpu()}.
