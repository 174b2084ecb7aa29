"""What ``make soak`` runs: many rotations under random faults while events flow, and what became of the events."""
