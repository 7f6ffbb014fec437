"""The swap inside the pods of one fleet: what must hold before each step, and what the step does. Pure.

Load the new version beside the old; when every pod has it ready, send new work to it; when the old one's streams have
ended, drop it. The pods stay, so it needs no room but memory.
"""
