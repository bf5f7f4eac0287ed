class ProblemStore:
    def __init__(self, *a): pass
