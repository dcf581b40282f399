import type { ProblemAnswer } from './gen/types.gen';

/** An answer that is an error, or none at all (`status` 0). */
export class ApiProblem extends Error {
  readonly status: number;
  readonly code: string;
  readonly requestId: string | undefined;
  readonly errors: { loc: (string | number)[]; msg: string }[];
  readonly retryAfterS: number | undefined;

  constructor(status: number, problem: Partial<ProblemAnswer> | undefined, retryAfter?: string | null) {
    super(problem?.detail ?? (status ? `HTTP ${status}` : 'unreachable'));
    this.status = status;
    this.code = problem?.code ?? (status ? 'http_error' : 'unreachable');
    this.requestId = problem?.request_id;
    this.errors = (problem?.errors ?? []) as ApiProblem['errors'];
    this.retryAfterS = retryAfter ? Number(retryAfter) : undefined;
  }

  /** What is wrong with one field of a form, by its path without the leading `body`. */
  get byField(): Record<string, string> {
    return Object.fromEntries(this.errors.map((one) => [one.loc.filter((part) => part !== 'body').join('.'), one.msg]));
  }
}

export function problemOf(error: unknown): ApiProblem {
  return error instanceof ApiProblem ? error : new ApiProblem(0, { detail: error instanceof Error ? error.message : String(error) });
}
