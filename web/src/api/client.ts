import { basename } from '../app/base';
import { client } from './gen/client.gen';
import { ApiProblem } from './problem';
import { signedFetch } from './session';

client.setConfig({
  baseUrl: basename,
  throwOnError: true,
  fetch: (input: RequestInfo | URL, init?: RequestInit) =>
    signedFetch(input instanceof Request ? input : new Request(input, init)).catch((error: unknown) => {
      if (error instanceof DOMException && error.name === 'AbortError') throw error;
      throw new ApiProblem(0, undefined);
    }),
});
client.interceptors.error.use((error, response) =>
  error instanceof ApiProblem || (error instanceof DOMException && error.name === 'AbortError')
    ? error
    : new ApiProblem(response?.status ?? 0, error as object, response?.headers.get('Retry-After')),
);

export { client };

/** The body of an answer; an error is thrown as `ApiProblem`. */
export async function body<T>(call: Promise<{ data: T }>): Promise<NonNullable<T>> {
  return (await call).data as NonNullable<T>;
}
