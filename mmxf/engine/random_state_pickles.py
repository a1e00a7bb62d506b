"""numpy's random generators in files of weights: read as the numbers they consist of, never built.

Research code often saves its ``np.random.RandomState`` beside the weights (VideoPose3D and what followed it). Its pickle calls
functions of numpy that build a generator; here stand-ins of the same names take their arguments and keep the state.
"""


class SavedRandomState:
    """What a file says of a generator: `arguments` of its making, `state` (key, position and so on)."""

    def __init__(self, *arguments) -> None:
        self.arguments, self.state = arguments, None

    def __setstate__(self, state) -> None:
        self.state = state


class SavedBitGenerator(SavedRandomState):
    """The same for the generator of bits inside."""


def _named(module: str, name: str, kind: type):
    """A function that torch looks up under this name and that makes a `kind`."""

    def make(*arguments):
        return kind(*arguments)

    make.__module__, make.__qualname__, make.__name__ = module, name, name
    return make


def random_state_globals() -> list:
    """For ``torch.serialization.safe_globals``: numpy 1.16 and before, 1.17 and after."""
    return [
        SavedRandomState, SavedBitGenerator,
        _named('numpy.random', '__RandomState_ctor', SavedRandomState),
        _named('numpy.random._pickle', '__randomstate_ctor', SavedRandomState),
        _named('numpy.random._pickle', '__generator_ctor', SavedRandomState),
        _named('numpy.random._pickle', '__bit_generator_ctor', SavedBitGenerator),
        *(_named(f'numpy.random._{name.lower()}', name, SavedBitGenerator) for name in ('MT19937', 'PCG64', 'Philox', 'SFC64')),
    ]
