"""Our cluster mode beside other task queues, on the same Redis, in one run.

Method
------
- One Redis (no persistence) and one MariaDB (every commit on disk) serve all; Redis is emptied and the database
  made anew before each measurement. Rounds go over the workloads, and within a workload over the queues in an
  order that rotates, so that a slow minute of the machine meets all alike. Medians and extremes are shown.
- Each peer runs by its own documentation in an environment of its own (`install`), by one small program
  (`*_side`): its own worker, one process, and the same two jobs. Results are kept by all that can.
- The clock belongs to no queue: an LLM job is timed and counted by the stub provider (first call until last
  answer), a no-op by the line that it writes to a file. Both know each job by its number; a job that is missing
  or came twice is told in the row.
- CPU is that of the worker's process tree, of Redis and of MariaDB, from the first job on, so that starting up
  and importing do not count.
- We record in SQL what the others keep in Redis; this costs us and is inside every figure of ours.
"""
