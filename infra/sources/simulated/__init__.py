"""A made-up shop with a declared truth: its people, goods and days, what they do, how they answer pushes.

people, goods   who lives there and what is sold, each drawn from its own number alone
sessions        when people come, from where and with what in hand
needs, baskets  what they lack, and which visit it is bought on
visits          all of it as EVENTS rows of any days, the same whatever days are asked for together
truth           what a push really does: P(open), P(purchase), P(opt-out), known to tests and benchmarks alone
answers         what a published plan brings about, as EVENTS rows
diary           how far the days have gone, and what pushes brought about, between runs
source          the four tables as any other source has them

Nothing but the diary remembers: every draw is a function of the seed and of what it is for, and what pushes
left behind is handed in. Nobody and nothing in it is real.
"""
