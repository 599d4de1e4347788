"""The same work as bench_cuda.c in PyTorch at its best on the same GPU: channels-last, bf16 autocast, torch.compile, fused Adam,
data on the GPU already.  Also the bf16 rate of a large matrix product on random numbers, the ceiling that fractions refer to.

Usage: torch_cuda.py [seconds per case]
"""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))


def timed(torch, step, seconds):
    for _ in range(10):
        step()
    torch.cuda.synchronize()
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        for _ in range(10):
            step()
        torch.cuda.synchronize()
        count += 10
    return (time.perf_counter() - start) / count


def peak(torch):
    n = 8192
    a, b = (torch.randn(n, n, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    return 2 * n**3 / timed(torch, lambda: a @ b, 1) * 1e-12


def layout(torch, spatial):
    return torch.channels_last if spatial == 2 else torch.channels_last_3d


def training(torch, unet, spatial, batch, extents, seconds):
    form = layout(torch, spatial)
    net = unet(spatial, inplace=True).cuda().to(memory_format=form).train()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, betas=(0.5, 0.999), fused=True)
    x, y = (torch.randn(batch, 1, *extents, device="cuda").to(memory_format=form) for _ in range(2))
    compiled = torch.compile(net)

    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cuda", dtype=torch.bfloat16):
            out = compiled(x)
        torch.nn.functional.mse_loss(out.float(), y).backward()
        optimizer.step()

    s = timed(torch, step, seconds)
    print("PyTorch train %dD, batch %d of %s: %8.3f ms/step  %8.2f steps/s" % (spatial, batch, extents, s * 1e3, 1 / s), flush=True)


def prediction(torch, unet, seconds):
    net = unet(2, inplace=True).cuda().to(memory_format=torch.channels_last).eval().to(torch.bfloat16)
    x = torch.randn(1, 1, 1504, 1504, device="cuda", dtype=torch.bfloat16).to(memory_format=torch.channels_last)
    compiled = torch.compile(net)
    with torch.inference_mode():
        s = timed(torch, lambda: compiled(x), seconds)
    print("PyTorch predict 1504 x 1504, data on the GPU: %8.3f ms" % (s * 1e3), flush=True)


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 10
    try:
        import torch
    except ImportError:
        print("skipped: no PyTorch")
        return
    if not torch.cuda.is_available():
        print("skipped: this PyTorch sees no GPU")
        return
    from torch_unet import unet

    torch.backends.cudnn.benchmark = True
    print("PyTorch %s, cuDNN %s, %s" % (torch.__version__, torch.backends.cudnn.version(), torch.cuda.get_device_name()))
    print("bf16 matrix product 8192^3: %.0f TFLOP/s" % peak(torch), flush=True)
    for case in (
        lambda: training(torch, unet, 2, 32, (256, 256), seconds),
        lambda: training(torch, unet, 3, 24, (32, 64, 64), seconds),
        lambda: prediction(torch, unet, seconds / 2),
    ):
        try:
            case()
        except Exception as e:  # one case that fails must not cost the others
            print("failed: %s: %s" % (type(e).__name__, str(e).splitlines()[0] if str(e) else ""), flush=True)


main()
