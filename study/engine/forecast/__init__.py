"""What a study will take, in time, memory and disk, and how many trials fit on the machines."""
