"""The same training course in PyTorch, and how far apart two of them may come.

make DIR SPATIAL BATCH DEPTH HEIGHT WIDTH STEPS    writes DIR/init.f32 and DIR/batches.f32 (see full_course.c)
run HOW DIR SPATIAL BATCH DEPTH HEIGHT WIDTH STEPS  prints one loss per line; HOW: plain, layout, or a number: a seed of perturbations
compare STEPS PLAIN_LOSSES OTHERS... -- OURS...   files of losses; status 1 when one of ours is too far away

Training is chaotic: Adam's first step is lr for every parameter, however small its gradient, so that rounding decides the sign of
some, and courses that differ by one rounding differ by a thousandth of their loss after two steps.  How fast that grows is measured
on PyTorch itself: the OTHERS start from weights changed by 1e-7 of themselves (one rounding), or run with another memory layout on
one thread.  D(t) is the largest relative difference of a loss of theirs from the plain course's in steps 1..t, at least 1e-6 (the
first loss alone is a mean of rounded terms).  Ours may differ by K D(t); the same holds for the means of blocks of 10 steps, in
which the noise of single steps averages out.  K = 4: the few courses that D(t) is taken from are a sample, and Winograd rounds
more coarsely than they do (1.1e-6 against 2e-7 for one operation, tests/backend/tolerances.h).
"""
import os
import sys
import warnings

warnings.filterwarnings("ignore")
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

K = 4
LEAST = 1e-6
BLOCK = 10


def shape_of(arguments):
    spatial, batch, depth, height, width, steps = (int(a) for a in arguments)
    return spatial, (batch, 1) + ((depth, height, width) if spatial == 3 else (height, width)), steps


def blurred(torch, image, spatial, size):
    pool = torch.nn.functional.avg_pool3d if spatial == 3 else torch.nn.functional.avg_pool2d
    return pool(image, size, stride=1, padding=size // 2, count_include_pad=False)


def normalised(image):
    return (image - image.mean()) / image.std()


def make(torch, folder, spatial, shape, steps):
    """Blobs with noise; the target is where blobs are, a thing that the network can learn."""
    from torch_unet import unet

    torch.manual_seed(7)
    net = unet(spatial)
    for name, p in net.named_parameters():
        torch.nn.init.normal_(p, 1.0 if ".bn" in name and name.endswith("weight") else 0.0, 0.02)
    tensors = [v for k, v in net.state_dict().items() if not k.endswith("num_batches_tracked")]
    with open(folder + "/init.f32", "wb") as f:
        for t in tensors:
            f.write(t.detach().contiguous().numpy().tobytes())
    with open(folder + "/batches.f32", "wb") as f:
        for _ in range(steps):
            blobs = normalised(blurred(torch, torch.randn(shape), spatial, 7))
            x = normalised(blobs + 0.3 * torch.randn(shape))
            y = normalised(blurred(torch, (blobs > 0.5).float(), spatial, 3))
            f.write(x.numpy().tobytes() + y.numpy().tobytes())


def load(torch, folder, spatial):
    from torch_unet import unet

    net = unet(spatial)
    state = net.state_dict()
    with open(folder + "/init.f32", "rb") as f:
        for key, value in state.items():
            if not key.endswith("num_batches_tracked"):
                value.copy_(torch.frombuffer(bytearray(f.read(4 * value.numel())), dtype=torch.float32).reshape(value.shape))
        assert not f.read(1)
    return net


def run(torch, how, folder, spatial, shape, steps):
    net = load(torch, folder, spatial).train()
    order = torch.contiguous_format
    if how == "layout":
        torch.set_num_threads(1)
        order = torch.channels_last if spatial == 2 else torch.channels_last_3d
    elif how != "plain":
        torch.manual_seed(int(how))
        with torch.no_grad():
            for p in net.parameters():
                p.mul_(1 + 1e-7 * torch.randn(p.shape))
    net = net.to(memory_format=order)
    adam = torch.optim.Adam(net.parameters(), lr=1e-3, betas=(0.5, 0.999))
    count = torch.Size(shape).numel()
    with open(folder + "/batches.f32", "rb") as f:
        for _ in range(steps):
            x, y = (torch.frombuffer(bytearray(f.read(4 * count)), dtype=torch.float32).reshape(shape) for _ in "xy")
            adam.zero_grad()
            loss = torch.nn.functional.mse_loss(net(x.contiguous(memory_format=order)), y.contiguous(memory_format=order))
            loss.backward()
            adam.step()
            print("%.9g" % loss.item(), flush=True)


def losses(path, steps):
    with open(path) as f:
        values = [float(line) for line in f]
    if len(values) != steps or not all(0 < v < 1e6 for v in values):
        sys.exit("%s: %d losses of %d, or one that is no number" % (path, len(values), steps))
    return values


def blocks(values):
    return [sum(values[i : i + BLOCK]) / BLOCK for i in range(0, len(values) - BLOCK + 1, BLOCK)]


def differences(a, b):
    return [abs(x - y) / y for x, y in zip(a, b)]


def drift_of(others, reference):
    drift, most = [], LEAST
    for step in zip(*(differences(o, reference) for o in others)):
        most = max(most, *step)
        drift.append(most)
    return drift


def worst(course, reference, drift):
    """The largest difference in units of the drift, and where it is, from 1."""
    return max((f / d, t + 1) for t, (f, d) in enumerate(zip(differences(course, reference), drift)))


def compare(steps, plain, others, ours):
    reference, others = losses(plain, steps), [losses(p, steps) for p in others]
    if not min(reference[-5:]) < 0.8 * reference[0]:
        sys.exit("PyTorch itself learns nothing: %g, then %g" % (reference[0], reference[-1]))
    drift = drift_of(others, reference)
    block_drift = drift_of([blocks(o) for o in others], blocks(reference))
    good = True
    for path in ours:
        course = losses(path, steps)
        single, step = worst(course, reference, drift)
        mean, block = worst(blocks(course), blocks(reference), block_drift)
        far = differences(course, reference)
        print("# %s: PyTorch's loss %.4f to %.4f; ours differs by at most %.2f of PyTorch's own drift (step %d), in means of %d "
              "steps %.2f (up to step %d); allowed: %d" % (
                  os.path.basename(path), reference[0], reference[-1], single, step, BLOCK, mean, block * BLOCK, K))
        print("#   difference (drift) at step " + ", ".join(
            "%d: %.1e (%.1e)" % (t, far[t - 1], drift[t - 1]) for t in (1, 2, 5, 10, 20, 50, 100, 200) if t <= steps))
        good = good and single <= K and mean <= K
    sys.exit(0 if good else 1)


def main(arguments):
    job = arguments.pop(0)
    if job == "compare":
        border = arguments.index("--")
        compare(int(arguments[0]), arguments[1], arguments[2:border], arguments[border + 1 :])
    import torch

    how = arguments.pop(0) if job == "run" else None
    folder = arguments.pop(0)
    spatial, shape, steps = shape_of(arguments)
    if job == "make":
        make(torch, folder, spatial, shape, steps)
    else:
        run(torch, how, folder, spatial, shape, steps)


main(sys.argv[1:])
