"""One case of bench_net in PyTorch: the worker that compare_net.py starts.

Usage: pytorch_net.py WORK [layout] [form]     one step for each line "go"; bench_net.c (serve) has the protocol
       pytorch_net.py --version

layout  contiguous, or channels_last (channels_last_3d)
form    plain: the network as pytorch_fnet writes it.  inplace: ReLUs overwrite their input.
        For inference also fold: batch norm folded into the convolutions; jit: traced, frozen, optimize_for_inference;
        compile: folded, torch.compile with frozen weights.
"""
import os
import sys
import time
import warnings

warnings.filterwarnings("ignore")
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
os.environ["TORCHINDUCTOR_FREEZING"] = "1"

WORK = {  # batch, then the extents
    "train2d-8": (8, 256, 256),
    "train2d-32": (32, 256, 256),
    "infer2d": (1, 1504, 1504),
    "train3d": (4, 32, 64, 64),
    "infer3d": (1, 32, 256, 256),
}
PARAMETERS = {2: 8116225, 3: 23280769}


def memory_mib(key):
    with open("/proc/self/status") as f:
        return next(float(line.split()[1]) / 1024 for line in f if line.startswith(key + ":"))


def adam(torch, net):
    options = dict(lr=1e-3, betas=(0.5, 0.999))
    try:
        return torch.optim.Adam(net.parameters(), fused=True, **options)
    except (TypeError, RuntimeError):  # only newer releases have it for the CPU
        return torch.optim.Adam(net.parameters(), **options)


def training(torch, net, x, y):
    net.train()
    optimizer = adam(torch, net)

    def step():
        optimizer.zero_grad(set_to_none=True)
        torch.nn.functional.mse_loss(net(x), y).backward()
        optimizer.step()

    return step


def folded(torch, net):
    """Every convolution takes over the batch norm behind it."""
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    def fuse(module, conv, norm, transposed=False):
        options = {"transpose": True} if transposed else {}
        setattr(module, conv, fuse_conv_bn_eval(getattr(module, conv), getattr(module, norm), **options))
        setattr(module, norm, torch.nn.Identity())

    for module in net.modules():
        if hasattr(module, "conv2"):
            fuse(module, "conv1", "bn1")
            fuse(module, "conv2", "bn2")
        elif hasattr(module, "convt"):
            fuse(module, "conv_down", "bn0")
            fuse(module, "convt", "bn1", transposed=True)
    return net


def inference(torch, net, x, form):
    net.eval()
    before = net(x[..., :64, :64])
    if form in ("fold", "compile"):
        net = folded(torch, net)
        assert torch.allclose(net(x[..., :64, :64]), before, atol=1e-4), "folding changed the network"
    if form == "jit":
        net = torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(net, x)))
        net(x)  # the second run still compiles
    if form == "compile":
        net = torch.compile(net)
    return lambda: net(x)


def prepare(torch, work, layout, form):
    batch, *extents = WORK[work]
    from torch_unet import parameters, unet

    net = unet(len(extents), inplace=form != "plain")
    assert parameters(net) == PARAMETERS[len(extents)], parameters(net)
    torch.manual_seed(1)
    x, y = torch.randn(batch, 1, *extents), torch.randn(batch, 1, *extents)
    if layout == "channels_last":
        order = torch.channels_last if len(extents) == 2 else torch.channels_last_3d
        net, x, y = net.to(memory_format=order), x.to(memory_format=order), y.to(memory_format=order)
    return inference(torch, net, x, form) if work.startswith("infer") else training(torch, net, x, y)


def serve(torch, work, layout, form):
    base = memory_mib("VmRSS")
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    with torch.inference_mode(work.startswith("infer")):
        step = prepare(torch, work, layout, form)
        step()
        print("ready\tPyTorch %s\t%d" % (torch.__version__, PARAMETERS[len(WORK[work]) - 1]), flush=True)
        for line in sys.stdin:
            start = time.perf_counter()
            step()
            print("time %.6f" % (time.perf_counter() - start), flush=True)
    print("peak %.1f %.1f" % (memory_mib("VmHWM"), base), flush=True)


def main(arguments):
    import torch

    if arguments[0] == "--version":
        print(torch.__version__)
    else:
        work, layout, form = arguments + ["contiguous", "plain"][len(arguments) - 1 :]
        serve(torch, work, layout, form)


main(sys.argv[1:])
