"""CronWorkflows: what starts by the clock, as Argo's cron controller does it."""
