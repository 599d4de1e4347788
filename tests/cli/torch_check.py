"""Asked by test_convert.sh: does PyTorch agree with the files?  Usage: torch_check.py JOB FILE...

same A B      two checkpoints hold the same tensors, bit for bit, and an Adam takes the optimiser's state
forward P DIR the network of checkpoint P gives DIR/out_eval3.f32 for DIR/x.f32
export P OUT  writes the network of checkpoint P as torch.onnx.export does: OUT.plain.onnx, OUT.folded.onnx
"""
import os
import sys
import warnings

warnings.filterwarnings("ignore")
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import torch
from torch import nn
from torch_unet import unet


def load(path):
    state = torch.load(path)["nn_state"]
    out, first = state["conv_out.weight"].shape, state["net_recurse.sub_2conv_more.conv1.weight"].shape
    depth = sum(k.endswith("convt.weight") for k in state)
    net = unet(len(out) - 2, first[1], out[0], out[1], depth)
    net.load_state_dict(state)
    return net.eval()


def same(a, b):
    a, b = torch.load(a), torch.load(b)
    counters = [k for k in a["nn_state"] if k.endswith("num_batches_tracked")]
    keys = list(b["nn_state"])
    assert keys == [k for k in a["nn_state"] if k in keys or k not in counters], "other names or another order"
    for k in keys:
        x, y = a["nn_state"][k], b["nn_state"][k]
        assert x.dtype == y.dtype and x.shape == y.shape and torch.equal(x, y), k
    assert a["count_iter"] == b["count_iter"]
    sa, sb = a["optimizer_state"]["state"], b["optimizer_state"]["state"]
    assert list(sa) == list(sb)
    for k in sa:
        assert float(sa[k]["step"]) == float(sb[k]["step"])
        assert all(torch.equal(sa[k][m], sb[k][m]) for m in ("exp_avg", "exp_avg_sq"))
    adam = torch.optim.Adam([nn.Parameter(torch.zeros_like(s["exp_avg"])) for s in sb.values()])
    adam.load_state_dict(b["optimizer_state"])
    assert adam.param_groups[0]["betas"] == a["optimizer_state"]["param_groups"][0]["betas"]


def floats(path, shape):
    return torch.frombuffer(bytearray(open(path, "rb").read()), dtype=torch.float32).reshape(shape)


def forward(path, folder):
    net = load(path)
    spatial = net.conv_out.weight.dim() - 2
    shape = (2, 1, 16, 16) if spatial == 2 else (2, 1, 8, 16, 16)
    with torch.no_grad():
        y = net(floats(folder + "/x.f32", shape))
    error = (y - floats(folder + "/out_eval3.f32", shape)).abs().max().item()
    assert error < 1e-6, error


def export(path, out):
    net = load(path)
    x = torch.zeros((1, 1) + (16,) * (net.conv_out.weight.dim() - 2))
    mode = torch.onnx.TrainingMode
    torch.onnx.export(net, x, out + ".plain.onnx", opset_version=13, training=mode.PRESERVE, do_constant_folding=False)
    torch.onnx.export(net, x, out + ".folded.onnx", opset_version=13, training=mode.EVAL)


{"same": same, "forward": forward, "export": export}[sys.argv[1]](*sys.argv[2:])
