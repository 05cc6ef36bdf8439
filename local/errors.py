"""What keeps the platform of one machine from running. Each text says in plain sentences what to do."""


class LocalError(Exception):
    """The platform cannot run here as things are. ``exit_code`` is the command's."""

    exit_code = 1


class LayoutError(LocalError):
    """The settings do not make a platform. Names the setting."""

    exit_code = 2


class HomeInUseError(LocalError):
    """Another ``syncline up`` runs in this home. Names its process."""


class MissingProgramError(LocalError):
    """A server that Syncline embeds is not installed. Says how to install it."""


class NoFreePortError(LocalError):
    """This machine has no free port left where local servers look for one."""


class NoAccountError(LocalError):
    """We are root, and this machine has no unprivileged account that a server could run as."""


class StartError(LocalError):
    """A server did not become ready. Names it, what it said last, and its log file."""
