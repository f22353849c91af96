"""Counts by evaluation of the sampler, and nodes run as the host's executor runs them.

Import it only after the host (fixture ``host``).
"""

import torch
from comfy.patcher_extension import WrappersMP
from comfy_api.latest import io

READS = ("item", "tolist", "cpu", "numpy", "__bool__", "__float__", "__int__", "__index__")
"""What makes Python wait for a tensor's value."""


def watched(model, count):
    """A clone, and a list that gets what ``count()`` grew by in each of its evaluations.

    Apply the cache to the clone afterwards: the watcher then stands outside it.
    """
    clone, grown = model.clone(), []

    def predict_noise(executor, *args, **kwargs):
        before = count()
        output = executor(*args, **kwargs)
        grown.append(count() - before)
        return output

    clone.add_wrapper_with_key(WrappersMP.PREDICT_NOISE, "watching", predict_noise)
    return clone, grown


def evaluated_sigmas(model):
    """A clone, and two lists for one sampling: the sigma of each evaluation, and its schedule."""
    clone, sigmas, schedule = model.clone(), [], []

    def predict_noise(executor, x, timestep, *args, **kwargs):
        sigmas.append(float(timestep.reshape(-1)[0]))
        return executor(x, timestep, *args, **kwargs)

    def outer_sample(executor, *args, **kwargs):
        schedule.extend(args[3].tolist())
        return executor(*args, **kwargs)

    clone.add_wrapper_with_key(WrappersMP.PREDICT_NOISE, "watching", predict_noise)
    clone.add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, "watching", outer_sample)
    return clone, sigmas, schedule


def counted_reads(monkeypatch):
    """``reads()``: how often Python has waited for a tensor's value since this call."""
    counted = []
    for name in READS:
        original = getattr(torch.Tensor, name)

        def counting(self, *args, original=original, **kwargs):
            counted.append(1)
            return original(self, *args, **kwargs)

        monkeypatch.setattr(torch.Tensor, name, counting)
    return lambda: len(counted)


def execute(node, node_id="7", prompt=None, **inputs):
    """The outputs of a node, on a clone of its class with its hidden inputs.

    Required widgets that are not given stand at their defaults.
    """
    hidden = {io.Hidden.unique_id: node_id, io.Hidden.prompt: prompt or {}}
    clone = node.PREPARE_CLASS_CLONE({"hidden_inputs": hidden})
    declared = node.GET_NODE_INFO_V1()["input"]["required"]
    defaults = {k: spec[1]["default"] for k, spec in declared.items() if "default" in spec[1]}
    return clone.EXECUTE_NORMALIZED(**{**defaults, **inputs}).args


def evaluated_thrice(wan, model, **more):
    """Results of a sampling that evaluates the model three times at every point, in order."""
    results = []

    def thrice(evaluate, x, sigmas):
        def three(x, sigma):
            results.extend(evaluate(x, sigma) for _ in range(3))
            return results[-3]

        return wan.euler(three, x, sigmas)

    wan.sample_with(thrice, model, **more)
    return results


def reused_where_computed(results, evaluations):
    """Pairs (computed, reused) of neighbours at one point; ``evaluations``: records of each."""
    reused = [all(r.action.value == "reuse" for r in records) for records in evaluations]
    return [
        (results[i - 1], results[i])
        for i in range(1, len(results))
        if i % 3 and reused[i] and not reused[i - 1]
    ]
