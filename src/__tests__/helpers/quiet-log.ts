// What the service logs of the faults that specs cause would bury what Jest says; LOG_LEVEL=info shows it.
process.env.LOG_LEVEL ??= 'silent';
