import { useMutation } from '@tanstack/react-query';
import { Alert, Button, Card, Form, Input, Typography } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { Link, useNavigate } from 'react-router';
import { problemOf } from '../api/problem';
import { authCall, take, type TokenAnswer } from '../api/session';
import { Door } from '../app/Door';

type Fields = { username: string; password: string; again: string };

/** The first administrator, by the one-time link that the server printed. */
export function Component() {
  const { t } = useTranslation('access');
  const navigate = useNavigate();
  // Behind the hash: it is sent to no server and written in no log.
  const [token] = useState(() => new URLSearchParams(location.hash.slice(1)).get('token'));
  const setup = useMutation({
    mutationFn: ({ username, password }: Fields) => authCall<TokenAnswer>('setup', { token, username, password }),
    onSuccess: (answer) => {
      take(answer);
      void navigate('/?welcome=1', { replace: true });
    },
  });
  const problem = setup.error ? problemOf(setup.error) : undefined;
  const known = (['setup_closed', 'wrong_setup_token', 'weak_password', 'unreachable'] as const).find((code) => code === problem?.code);
  const required = [{ required: true, message: t('required') }];
  return (
    <Door>
      <Card style={{ width: '100%', maxWidth: 420 }}>
        <Typography.Title level={2} style={{ fontSize: 20, marginTop: 0 }}>{t('setup.title')}</Typography.Title>
        {!token && <Alert type="warning" showIcon title={t('setup.noToken')} />}
        {token && (
          <Form layout="vertical" requiredMark={false} onFinish={(fields: Fields) => setup.mutate(fields)}>
            <Typography.Paragraph type="secondary">{t('setup.lead')}</Typography.Paragraph>
            {problem && <Alert role="alert" type="error" showIcon style={{ marginBottom: 16 }} title={Object.values(problem.byField)[0] ?? (known ? t(`setup.said.${known}`) : problem.message)} description={known === 'weak_password' ? problem.message : undefined} action={known === 'setup_closed' ? <Link to="/sign-in">{t('signIn')}</Link> : undefined} />}
            <Form.Item name="username" label={t('setup.username')} rules={required} initialValue="admin"><Input autoComplete="username" autoCapitalize="none" /></Form.Item>
            <Form.Item name="password" label={t('setup.password')} extra={t('setup.rule')} rules={[...required, { min: 10, message: t('setup.rule') }]}><Input.Password autoFocus autoComplete="new-password" /></Form.Item>
            <Form.Item
              name="again"
              label={t('setup.again')}
              dependencies={['password']}
              rules={[...required, ({ getFieldValue }) => ({ validator: async (_, value) => { if (value && value !== getFieldValue('password')) throw new Error(t('setup.differs')); } })]}
            >
              <Input.Password autoComplete="new-password" />
            </Form.Item>
            <Button block type="primary" htmlType="submit" loading={setup.isPending}>{t('setup.make')}</Button>
          </Form>
        )}
      </Card>
    </Door>
  );
}
