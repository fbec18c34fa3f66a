"""Lets timm and the authors' code be imported where parts of their surroundings are missing.

timm imports PIL and torchvision, whose wheel may belong to another build of torch; the
authors' code imports names that newer versions of timm have moved, and cupy. None of what is
replaced here runs in a comparison.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types
import warnings

import torch

warnings.filterwarnings("ignore", category=FutureWarning)  # timm's, of its own old names


class Placeholder(type):
    """A class that has any attribute, each a class of its own."""

    def __getattr__(cls, name):
        if name.startswith("__"):
            raise AttributeError(name)
        made = Placeholder(name, (), {})
        setattr(cls, name, made)
        return made


class PlaceholderModule(types.ModuleType):
    __version__ = "99.0"
    __path__ = []

    def __getattr__(self, name):
        return getattr(Placeholder(self.__name__, (), {}), name)


class PlaceholderFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def __init__(self, package):
        self.package = package

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] != self.package:
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec):
        return PlaceholderModule(spec.name)

    def exec_module(self, module):
        pass


def placeholder(package):
    """Makes `import package` work if it is not installed; true if it is a placeholder."""
    if importlib.util.find_spec(package) is not None:
        return False
    sys.meta_path.append(PlaceholderFinder(package))
    return True


def import_timm():
    placeholder("PIL")
    if not placeholder("torchvision"):
        # The signatures that importing another build's torchvision asks for.
        library = torch.library.Library("torchvision", "DEF")
        for operator in ("nms", "qnms"):
            try:
                library.define(
                    f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
                )
            except RuntimeError:
                pass  # this torchvision brings its own
        import_timm.library = library  # the definitions live as long as this does
    import timm

    sys.modules.setdefault("timm.models.layers.helpers", timm.layers.helpers)
    sys.modules.setdefault("timm.models.layers", timm.layers)
    sys.modules.setdefault("timm.models.registry", timm.models._registry)
    return timm
