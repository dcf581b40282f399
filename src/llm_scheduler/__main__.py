"""`python -m llm_scheduler` is the command line."""

from llm_scheduler.cli.main import main

if __name__ == "__main__":
    main()
