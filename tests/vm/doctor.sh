# The agent finds all that it needs on this kernel.
agent doctor
