"""What is wrong with a data set, said so that it can be mended."""


class DatasetError(ValueError):
    """A data set, its files or its classes cannot be used; the message names the file and says what to do.

    The commands print it without a traceback. One argument, the message: readers in other processes, and mmengine's registry
    (which puts the class's name in front), raise it again as ``type(error)(message)``.
    """
