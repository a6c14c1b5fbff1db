"""How a function of the emulator is replaced."""


def replace(module, name):
    """Replaces `module.name` by the decorated function, which gets what it replaces as its first argument."""
    original = getattr(module, name)

    def decorate(function):
        def replaced(*args, **kwargs):
            return function(original, *args, **kwargs)

        setattr(module, name, replaced)
        return replaced

    return decorate
