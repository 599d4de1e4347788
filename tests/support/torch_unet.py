"""Our own definition of pytorch_fnet's U-Net, with its names of parameters: what tests and benchmarks compare with."""
import torch
from torch import nn


def unet(spatial, c_in=1, c_out=1, base=32, depth=4, inplace=False):
    """inplace: ReLUs overwrite their input, which saves memory; pytorch_fnet's own do not."""
    conv, convt, norm = (getattr(nn, n + str(spatial) + "d") for n in ("Conv", "ConvTranspose", "BatchNorm"))

    class Pair(nn.Module):
        def __init__(self, n_in, n_out):
            super().__init__()
            self.conv1, self.bn1 = conv(n_in, n_out, 3, padding=1), norm(n_out)
            self.conv2, self.bn2 = conv(n_out, n_out, 3, padding=1), norm(n_out)
            self.relu1, self.relu2 = nn.ReLU(inplace), nn.ReLU(inplace)

        def forward(self, x):
            return self.relu2(self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x))))))

    class Level(nn.Module):
        def __init__(self, n_in, n, below):
            super().__init__()
            self.sub_2conv_more = Pair(n_in, n)
            self.sub_u = None
            if below:
                self.sub_2conv_less = Pair(2 * n, n)
                self.conv_down, self.bn0, self.relu0 = conv(n, n, 2, stride=2), norm(n), nn.ReLU(inplace)
                self.convt, self.bn1, self.relu1 = convt(2 * n, n, 2, stride=2), norm(n), nn.ReLU(inplace)
                self.sub_u = Level(n, 2 * n, below - 1)

        def forward(self, x):
            skip = self.sub_2conv_more(x)
            if self.sub_u is None:
                return skip
            deep = self.sub_u(self.relu0(self.bn0(self.conv_down(skip))))
            return self.sub_2conv_less(torch.cat((skip, self.relu1(self.bn1(self.convt(deep)))), 1))

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.net_recurse = Level(c_in, base, depth)
            self.conv_out = conv(base, c_out, 3, padding=1)

        def forward(self, x):
            return self.conv_out(self.net_recurse(x))

    return Net()


def parameters(net):
    return sum(p.numel() for p in net.parameters())
