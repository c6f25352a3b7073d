"""Who gets in, what they may do, and what a server makes of those who try otherwise."""
