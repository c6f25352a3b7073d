"""Words and rules of the shop floor: plain values and pure functions, standard library only."""
