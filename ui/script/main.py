"""The script that Streamlit runs for every click: who is there, what they may see, and the page they asked for."""

from ui.frame import run

run()
