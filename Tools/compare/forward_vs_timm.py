"""Compares `mingle forward` with timm: logits, features and all gradients, on random weights.

    python forward_vs_timm.py [--mingle PATH] [--seed N] [--only REGEX] [--bf16] [--registered]

Needs torch, timm, numpy and safetensors; comparison.py tells the tolerances. Each case is a network
of another depth, width, class count, image size, patch size or channel count; --registered adds
every model that timm has under the same name, at its published size.

Not compared, as timm lacks it: a Swin's activation, an EfficientNet's strides above 2. Where an
EfficientNet or NFNet has a total stride above 32, timm dilates instead, and mingle does not.
"""

import functools

import torch
from reference_imports import import_timm

timm = import_timm()
from comparison import arguments, options_parser, run  # noqa: E402
from timm.layers import get_act_layer  # noqa: E402
from timm.models import efficientnet, mlp_mixer, nfnet, resnet  # noqa: E402
from timm.models import swin_transformer, vision_transformer  # noqa: E402
from timm.models._efficientnet_builder import decode_arch_def, round_channels  # noqa: E402

IMAGES = dict(image_size="img_size", input_channels="in_chans", classes="num_classes")
PATCHES = dict(IMAGES, patch_size="patch_size")
MAPS = dict(IMAGES, image_size=None)  # for networks that take any size

# The tables of cases, one for each family, and what makes timm's network of a case's settings.

PLAIN = [
    dict(image_size=32, patch_size=8, depth=1, dim=16, classes=2),
    dict(image_size=64, patch_size=16, depth=5, dim=48, classes=37),
    dict(image_size=(32, 96), patch_size=8, depth=3, dim=32, classes=10),
    dict(image_size=(48, 60), patch_size=(8, 12), depth=2, dim=40, classes=11),
    dict(image_size=28, patch_size=7, input_channels=1, depth=4, dim=24, classes=10),
    dict(image_size=40, patch_size=4, input_channels=5, depth=2, dim=64, classes=1),
    dict(image_size=224, patch_size=32, depth=2, dim=128, classes=1000),
]


def mlp_model(settings, **constants):
    rest = dict(settings)
    if constants["block_layer"] is mlp_mixer.MixerBlock:
        ratios = (rest.pop("token_mlp_ratio", 0.5), rest.pop("channel_mlp_ratio", 4.0))
        constants["mlp_ratio"] = ratios
    return mlp_mixer.MlpMixer(
        **arguments(rest, constants, **PATCHES, depth="num_blocks", dim="embed_dim",
                    mlp_ratio="mlp_ratio"))


MIXER = PLAIN + [
    dict(image_size=64, patch_size=16, depth=3, dim=40, classes=7,
         token_mlp_ratio=1.5, channel_mlp_ratio=2.0),
]
GMLP = PLAIN + [dict(image_size=64, patch_size=8, depth=3, dim=40, classes=7, mlp_ratio=3.0)]
RESMLP = PLAIN + [dict(image_size=64, patch_size=8, depth=3, dim=40, classes=7, mlp_ratio=2.0)]


def vit_model(settings):
    rest = dict(settings)
    constants = dict(act_layer=get_act_layer(rest.pop("activation", "gelu")))
    return vision_transformer.VisionTransformer(
        **arguments(rest, constants, **PATCHES, depth="depth", dim="embed_dim", heads="num_heads",
                    mlp_ratio="mlp_ratio", qkv_bias="qkv_bias"))


VIT = [
    dict(image_size=32, patch_size=8, depth=1, dim=16, heads=1, classes=2),
    dict(image_size=(32, 96), patch_size=8, depth=3, dim=36, heads=4, mlp_ratio=2.5, classes=10),
    dict(image_size=(48, 60), patch_size=(8, 12), depth=2, dim=40, heads=40, classes=11),
    dict(image_size=28, patch_size=7, input_channels=1, depth=4, dim=24, heads=3, qkv_bias=False,
         classes=10),
    dict(image_size=39, patch_size=13, input_channels=5, depth=2, dim=30, heads=5, classes=1,
         activation="relu"),
    dict(image_size=8, patch_size=8, depth=2, dim=32, heads=2, classes=3, activation="silu"),
    dict(image_size=24, patch_size=2, depth=2, dim=32, heads=2, classes=3, activation="gelu_tanh"),
]


def swin_model(settings):
    rest = dict(settings)
    constants = dict(depths=rest.pop("depths"), num_heads=rest.pop("heads"))
    return swin_transformer.SwinTransformer(
        **arguments(rest, constants, **PATCHES, dim="embed_dim", window_size="window_size",
                    always_partition="always_partition", mlp_ratio="mlp_ratio",
                    qkv_bias="qkv_bias"))


SWIN = [
    dict(image_size=32, depths=[1], dim=12, heads=[3], window_size=4, classes=2),
    dict(image_size=64, depths=[2, 2], dim=16, heads=[2, 4], window_size=4, classes=10),
    dict(image_size=(52, 44), depths=[2, 3, 2], dim=12, heads=[1, 2, 6], window_size=4, classes=7),
    dict(image_size=(36, 100), depths=[2, 2], dim=16, heads=[4, 2], classes=11, mlp_ratio=2.5),
    dict(image_size=(34, 62), patch_size=2, depths=[3, 2, 1, 1], dim=8, heads=[1, 2, 4, 8],
         window_size=5, input_channels=1, classes=3, qkv_bias=False),
    dict(image_size=(40, 48), depths=[2, 2], dim=12, heads=[2, 3], window_size=(3, 5), classes=5),
    dict(image_size=(40, 56), depths=[2, 2, 2], dim=12, heads=[2, 3, 4], window_size=[4, 3, 2],
         classes=5),
    dict(image_size=(28, 20), depths=[2, 2], dim=12, heads=[2, 3], window_size=4, classes=1,
         always_partition=True),
    dict(image_size=(36, 24), patch_size=(4, 3), depths=[2, 2], dim=12, heads=[2, 3],
         window_size=6, input_channels=4, classes=5),
    dict(image_size=4, depths=[2, 1], dim=8, heads=[2, 2], window_size=7, classes=4),
]


def resnet_model(settings):
    rest = dict(settings)
    stem = rest.pop("stem_dim", 64)
    basic = rest.pop("block") == "basic"
    constants = dict(block=resnet.BasicBlock if basic else resnet.Bottleneck)
    model = resnet.ResNet(
        **arguments(rest, constants, **MAPS, depths="layers", dims="channels"))
    if stem != 64:  # timm's plain stem has no width
        block = model.layer1[0]
        wide = block.conv2.out_channels if basic else block.conv3.out_channels
        model.conv1 = torch.nn.Conv2d(model.conv1.in_channels, stem, 7, 2, 3, bias=False)
        model.bn1 = torch.nn.BatchNorm2d(stem)
        old = block.conv1
        block.conv1 = torch.nn.Conv2d(
            stem, old.out_channels, old.kernel_size, padding=old.padding, bias=False)
        block.downsample = None if wide == stem else torch.nn.Sequential(
            torch.nn.Conv2d(stem, wide, 1, bias=False), torch.nn.BatchNorm2d(wide))
    return model


RESNET = [
    dict(block="basic", depths=[1, 1, 1, 1], dims=[8, 12, 16, 24], image_size=32, classes=2),
    dict(block="basic", depths=[2, 1, 3, 1], dims=[64, 16, 16, 8], image_size=(33, 47), classes=11,
         input_channels=1),
    dict(block="basic", depths=[1, 2, 1, 1], dims=[12, 8, 16, 20], image_size=(65, 40), classes=1,
         stem_dim=12),
    dict(block="bottleneck", depths=[1, 1, 1, 1], dims=[4, 8, 8, 12], image_size=48, classes=10),
    dict(block="bottleneck", depths=[2, 1, 2, 3], dims=[16, 8, 12, 6], image_size=(71, 54),
         classes=7, input_channels=5),
    dict(block="bottleneck", depths=[2, 2, 1, 1], dims=[6, 8, 12, 6], image_size=1, classes=3,
         stem_dim=20),
]


def efficientnet_model(settings):
    default = dict(width_multiplier=1.0, depth_multiplier=1.0, depths=[1, 2, 2, 3, 3, 4, 1],
                   dims=[16, 24, 40, 80, 112, 192, 320], kernels=[3, 3, 5, 3, 5, 5, 3],
                   strides=[1, 2, 2, 2, 1, 2, 1], expansions=[1, 6, 6, 6, 6, 6, 6], stem_dim=32,
                   feature_dim=1280, squeeze_ratio=0.25, activation="silu", norm_epsilon=1e-5)
    s = {key: settings.get(key, value) for key, value in default.items()}
    rest = {key: value for key, value in settings.items() if key not in default}
    columns = zip(s["expansions"], s["depths"], s["kernels"], s["strides"], s["dims"])
    ratio = f"_se{s['squeeze_ratio']}" if s["squeeze_ratio"] else ""
    stages = [
        [f"{'ds' if e == 1 else 'ir'}_r{depth}_k{kernel}_s{stride}_e{e}_c{dim}{ratio}"]
        for e, depth, kernel, stride, dim in columns
    ]
    scaled = functools.partial(round_channels, multiplier=s["width_multiplier"])
    constants = dict(
        block_args=decode_arch_def(stages, s["depth_multiplier"]), round_chs_fn=scaled,
        num_features=scaled(s["feature_dim"]), stem_size=s["stem_dim"],
        act_layer=get_act_layer(s["activation"]),
        norm_layer=functools.partial(torch.nn.BatchNorm2d, eps=s["norm_epsilon"]))
    return efficientnet.EfficientNet(**arguments(rest, constants, **MAPS))


EFFICIENTNET = [
    dict(width_multiplier=0.25, depth_multiplier=0.5, image_size=32, classes=2),
    dict(width_multiplier=0.35, depth_multiplier=1.1, image_size=(33, 47), classes=10,
         input_channels=1),
    dict(width_multiplier=0.6, depth_multiplier=1.2, image_size=(65, 40), classes=1),
    dict(width_multiplier=1.0, depth_multiplier=1.1, image_size=40, classes=11),  # B1
    dict(width_multiplier=1.1, depth_multiplier=1.2, image_size=45, classes=11),  # B2
    dict(width_multiplier=1.2, depth_multiplier=1.4, image_size=37, classes=11),  # B3
    dict(width_multiplier=1.4, depth_multiplier=1.8, image_size=(36, 51), classes=11),  # B4
    dict(depths=[2, 1, 2], dims=[8, 20, 16], kernels=[5, 7, 3], strides=[2, 1, 2],
         expansions=[1, 3, 4], stem_dim=24, feature_dim=72, squeeze_ratio=0.5,
         image_size=(50, 31), classes=5, input_channels=4, activation="relu"),
    dict(depths=[2, 2], dims=[16, 24], kernels=[3, 1], strides=[1, 2], expansions=[2, 1],
         stem_dim=16, feature_dim=40, squeeze_ratio=0, image_size=(29, 64), classes=5,
         norm_epsilon=0.001),
]


def nfnet_model(settings):
    rest = dict(settings)
    constants = dict(cfg=nfnet.model_cfgs["dm_nfnet_f0"])
    # timm multiplies in place, which leaves a ReLU no gradient; the numbers are the same.
    nfnet.GammaAct.forward = lambda self, x: self.act_fn(x) * self.gamma
    ratio = rest.pop("squeeze_ratio", None)
    if ratio:
        constants["attn_kwargs"] = dict(rd_ratio=ratio)
    return nfnet.NormFreeNet(
        **arguments(rest, constants, **MAPS, depths="depths", dims="channels",
                    width_multiplier="width_factor", stem_dim="stem_chs",
                    feature_dim="num_features", bottleneck_ratio="bottle_ratio",
                    group_size="group_size", extra_convolution="extra_conv",
                    attention_gain="attn_gain", alpha="alpha", activation="act_layer",
                    norm_epsilon="std_conv_eps"))


NFNET = [
    dict(width_multiplier=0.125, group_size=16, image_size=32, classes=2),
    dict(depths=[2, 4, 12, 6], width_multiplier=0.0625, group_size=8, image_size=48,
         classes=10),  # F1
    dict(depths=[1, 1, 1, 1], dims=[32, 64, 48, 80], stem_dim=16, feature_dim=96, group_size=8,
         image_size=(33, 47), classes=11, input_channels=1),
    dict(depths=[1, 2], dims=[32, 64], stem_dim=64, feature_dim=40, group_size=0,
         image_size=(52, 29), classes=1, extra_convolution=False, bottleneck_ratio=0.25),
    dict(depths=[2, 1, 2], dims=[24, 40, 72], stem_dim=24, feature_dim=56, group_size=8,
         image_size=(41, 70), classes=5, input_channels=5, squeeze_ratio=0.25, alpha=0.5,
         attention_gain=1.5, activation="relu", norm_epsilon=0.001),
    dict(depths=[1, 2, 1], dims=[24, 48, 72], stem_dim=40, feature_dim=56, group_size=12,
         bottleneck_ratio=1.0, image_size=(17, 18), classes=5, activation="silu"),
]

FAMILIES = {
    "mixer": (
        "mixer_s16_224", MIXER, functools.partial(mlp_model, block_layer=mlp_mixer.MixerBlock)),
    "gmlp": (
        "gmlp_s16_224", GMLP,
        functools.partial(mlp_model, mlp_ratio=6.0, block_layer=mlp_mixer.SpatialGatingBlock,
                          mlp_layer=mlp_mixer.GatedMlp)),
    "resmlp": (
        "resmlp_12_224", RESMLP,
        functools.partial(mlp_model, mlp_ratio=4.0, norm_layer=mlp_mixer.Affine,
                          block_layer=functools.partial(mlp_mixer.ResBlock, init_values=0.1))),
    "vit": ("vit_tiny_patch16_224", VIT, vit_model),
    "deit": ("deit_tiny_patch16_224", VIT[1:3], vit_model),
    "swin": ("swin_tiny_patch4_window7_224", SWIN, swin_model),
    "resnet": ("resnet18", RESNET, resnet_model),
    "efficientnet": ("efficientnet_b0", EFFICIENTNET, efficientnet_model),
    "nfnet": ("dm_nfnet_f0", NFNET, nfnet_model),
}

REGISTERED = {
    224: [
        "mixer_s32_224", "mixer_s16_224", "mixer_b32_224", "mixer_b16_224", "mixer_l32_224",
        "gmlp_ti16_224", "gmlp_s16_224", "gmlp_b16_224",
        "resmlp_12_224", "resmlp_24_224", "resmlp_36_224",
        "vit_tiny_patch16_224", "vit_small_patch16_224", "vit_base_patch16_224",
        "deit_tiny_patch16_224", "deit_small_patch16_224", "deit_base_patch16_224",
        "swin_tiny_patch4_window7_224", "swin_small_patch4_window7_224",
        "swin_base_patch4_window7_224",
        "resnet18", "resnet50", "resnet152", "efficientnet_b0",
    ],
    288: ["efficientnet_b3"],
    192: ["dm_nfnet_f0"],
}


def cases(registered):
    for family, (name, table, make) in FAMILIES.items():
        for settings in table:
            yield family, name, settings, functools.partial(make, settings)
    if registered:
        for size, names in REGISTERED.items():
            for name in names:
                yield name, name, dict(image_size=size), functools.partial(timm.create_model, name)


def main():
    parser = options_parser(__doc__)
    parser.add_argument("--registered", action="store_true")
    options = parser.parse_args()
    run(options, cases(options.registered))


if __name__ == "__main__":
    main()
