import { defineConfig } from '@hey-api/openapi-ts';

export default defineConfig({
  input: '../docs/openapi.json',
  output: 'src/api/gen',
  plugins: ['@hey-api/client-fetch'],
});
