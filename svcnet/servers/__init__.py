"""What answers others: DNS, health, metrics, status, statistics, and the userspace proxy."""
