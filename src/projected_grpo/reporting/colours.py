"""The colours of figures and pages: Okabe and Ito's, ink and greys. Pages need no matplotlib, so this imports none."""

BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"
INK, GREY, PALE = "#222222", "#8A8A8A", "#E9E9E9"
LINES = [VERMILLION, BLUE, GREEN, PURPLE, ORANGE, SKY]
RATES = {"hack": VERMILLION, "solve": BLUE}  # wherever both are drawn
