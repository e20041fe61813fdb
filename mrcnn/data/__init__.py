"""Photos, masks and datasets: everything between files on disk and the arrays that the network takes."""
